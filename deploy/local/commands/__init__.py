"""What can be typed after `./rapport`: a module each."""
