"""Why an image was not got."""


class Failure(Exception):
    """An image that was not got; the message is the reason.

    Attributes:
        passing: whether trying again may help.
        wait: seconds that the server asks to be left alone for; 0 if it does not.
    """

    def __init__(self, reason, passing=False, wait=0.0):
        super().__init__(reason)
        self.passing, self.wait = passing, wait
