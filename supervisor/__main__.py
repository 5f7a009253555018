"""`python -m supervisor`."""

from arq._supervise_entry import main

if __name__ == "__main__":
    main()
