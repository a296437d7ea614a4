"""stub"""


def write_events(folder, watch):
    raise NotImplementedError
