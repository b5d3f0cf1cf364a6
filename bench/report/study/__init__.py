"""User studies: a page of questions from kept pictures, and what its answers say."""
