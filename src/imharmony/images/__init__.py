"""Pictures as arrays and files: pixels, profiles, formats, masks, compositing."""
