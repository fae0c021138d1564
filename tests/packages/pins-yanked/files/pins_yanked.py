import yanked
