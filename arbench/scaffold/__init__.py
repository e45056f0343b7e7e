"""What `arbench new` writes: projects that install and pass their tests, meant to be edited."""
