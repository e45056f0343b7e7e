"""What can be tried on the page: trained models that compute in the browser, from a file."""
