from joint_shared import ONLY_LEFT as marked
