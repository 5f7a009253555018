"""`python -m supervisor`."""

from _arq_supervise import main

if __name__ == "__main__":
    main()
