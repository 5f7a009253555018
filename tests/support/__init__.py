"""What tests share: waiting for conditions, real servers, leak checks."""
