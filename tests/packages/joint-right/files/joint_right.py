from joint_shared import ONLY_RIGHT as marked
