"""The journal, republished: which days changed, what they hold, and their files and pages."""
