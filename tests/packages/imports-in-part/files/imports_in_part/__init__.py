from imports_in_part import loaded
