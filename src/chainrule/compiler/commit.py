"""What may end a step stands before what it writes: a step is done whole, or nothing outside is touched.

A step is *stopped* by a failed check, by what a call into Python raises, and by Ctrl-C. It *writes* to lasting memory:
inputs that change (parameters, buffers, optimiser state) and arrays of results that somebody may hold already
(gradients). The order puts every group that writes behind the last that may stop, unless that one needs it; what is
made too early all the same lies in the arena and is copied when the program has ended (plan). From the first write on
nobody asks for Ctrl-C any more (driver).
"""


def stops(program, groups):
    """The numbers of the groups that may end the step."""
    checks = {program.outputs[n] for n in program.checks}
    return [k for k, g in enumerate(groups) if g.kind == "call" or any(v in checks for v in g.outputs)]


def lasting(program):
    """The values that go to lasting memory."""
    return {*program.writes.values(), *(program.outputs[n] for n in program.lasting)}


def behind(program, groups, after, sequence):
    """Add to ``after`` (per group, what has to come before) that the writing groups come behind those that stop.

    ``sequence``: an order in which the groups can run, in which those that stop then stand. True if there was something
    to add.
    """
    found, values = set(stops(program, groups)), lasting(program)
    if not found or not values:
        return False
    # What can be checked at once is checked first: no random number is drawn then either.
    found = sorted([k for k in sequence if k in found], key=lambda k: groups[k].kind == "call" or bool(after[k]))
    needed, queue = set(found), list(found)
    for k in queue:
        for b in after[k]:
            if b not in needed:
                needed.add(b)
                queue.append(b)
    for a, b in zip(found, found[1:], strict=False):
        after[b].add(a)
    for k, g in enumerate(groups):
        if k not in needed and any(v in values for v in g.outputs):
            after[k].add(found[-1])
    return True
