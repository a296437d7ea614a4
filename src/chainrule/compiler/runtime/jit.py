"""From LLVM text to machine code in memory, one object file per kernel.

A kernel's text is completed with the shared functions it calls, compiled on its own, and kept on disk under a key that
says everything it depends on. So a kernel that two steps share, or that an earlier process compiled, is not compiled
again. (One module for all new kernels saves about a millisecond per kernel of the three to ten that code generation
takes; compiling them on all threads gains more than that.)
"""

import ctypes
import os
import re
import threading
import weakref

from ...config import threads
from ..target import llvm_binding, llvmlite_version
from . import bounds, cache, fork

_NAME = r'(?:[A-Za-z$._][\w$.\-]*|"[^"]*")'
_REFERENCE = re.compile(r"@(" + _NAME + ")")
_DEFINE = re.compile(r"^define\b([^@\n]*)@(" + _NAME + r")\s*\(", re.M)
_GLOBAL = re.compile(r"^@(" + _NAME + r")\s*=", re.M)
_DECLARE = re.compile(r"^declare\b[^@\n]*@(" + _NAME + r")\s*\([^\n]*$", re.M)
_COMMENT = re.compile(r"^\s*;[^\n]*\n", re.M)
_LINKAGE = ("internal", "private", "linkonce_odr", "available_externally")
_OBJECT = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"d\x86", b"d\xaa")  # how object files begin: ELF, Mach-O, COFF of two CPUs
OPT = 2  # of code generation; 3 gives the same code for kernels with explicit vectors


class _LLVM:
    """llvmlite, ready, with one target machine per target and thread."""

    def __init__(self):
        self.binding = binding = llvm_binding()
        self.version = llvmlite_version()
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self.machines = threading.local()
        lock = getattr(getattr(binding.ffi.lib, "_lock", None), "_lock", None)
        if lock is not None:  # else it keeps it elsewhere
            fork.others.append(lock)

    def machine(self, target, opt):
        """A target machine of the calling thread: they are not to be used by two threads at once."""
        made = self.machines.__dict__.setdefault("made", {})
        m = made.get((target, opt))
        if m is None:
            m = made[target, opt] = self.new_machine(target, opt)
        return m

    def new_machine(self, target, opt):
        t = self.binding.Target.from_triple(target.triple)
        return t.create_target_machine(cpu=target.cpu, features=target.features, opt=opt, jit=True)


_ready = []


def llvm():
    """The process's llvmlite; raises UnsupportedError with what to install if it is absent."""
    if not _ready:
        _ready.append(_LLVM())
    return _ready[0]


class _Code:
    """Where one compiled unit lies; holds the engine that owns the memory."""

    __slots__ = ("__weakref__", "address", "engine")

    def __init__(self, address, engine):
        self.address = address
        self.engine = engine


_loaded = weakref.WeakValueDictionary()  # key of a unit -> _Code, for all libraries alive


class Library:
    """Native functions in memory; lives as long as anything holds it."""

    def __init__(self, target, units, codes, compiled, cached, debug, keys=None, objects=None):
        self.target = target
        self.keys = keys or {}  # symbol -> under which key its object file is kept
        self.objects = objects or {}  # symbol -> the object file, until a whole program has been kept
        self.compiled = compiled  # symbols compiled now
        self.cached = cached  # symbols that came from the disk
        self.debug = debug  # with bounds checks
        self._units = units
        self._codes = codes

    def __contains__(self, symbol):
        return symbol in self._codes

    def __iter__(self):
        return iter(self._codes)

    def __len__(self):
        return len(self._codes)

    def address(self, symbol):
        """The address of a function, an int."""
        try:
            return self._codes[symbol].address
        except KeyError:
            raise KeyError(f"Library: no function {symbol!r}; there are {sorted(self._codes)}") from None

    def text(self, symbol):
        """The LLVM text that was compiled, with the shared functions it calls."""
        self.address(symbol)
        return self._units[symbol]

    def optimized(self, symbol):
        """The LLVM text after the passes, before code generation."""
        self.address(symbol)
        with fork.compiling:
            return str(_parsed(self._units[symbol], self.target))

    def assembly(self, symbol):
        """The assembly of a function."""
        self.address(symbol)
        with fork.compiling:
            machine = llvm().new_machine(self.target, _opt(self._units[symbol]))
            return machine.emit_assembly(_parsed(self._units[symbol], self.target))


def load(texts, target, *, declares=(), entries=None, exports=(), debug=None):
    """Compile functions and bring them into memory.

    ``texts`` maps symbols to LLVM text: the definition of that symbol, and private helpers and constants with it, whose
    names no other text defines. ``declares`` are ``declare`` lines of functions outside; intrinsics need none.
    ``entries`` names the symbols whose addresses are wanted (default: all whose definition is not internal); the others
    are shared functions and are compiled into every entry that calls them. ``exports`` names further functions of the
    entries' own texts that get an address.
    ``debug`` adds bounds checks (default: environment CHAINRULE_DEBUG is 1).

    >>> from chainrule.compiler.target import host
    >>> text = "define i64 @twice(i64 %x) {\\n  %y = add i64 %x, %x\\n  ret i64 %y\\n}\\n"
    >>> library = load({"twice": text}, host())
    >>> import ctypes
    >>> ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("twice"))(21)
    42

    Raises UnsupportedError if llvmlite is absent, RuntimeError with LLVM's words and the symbol if a text is wrong.
    """
    with fork.compiling:
        return _load(texts, target, declares, entries, exports, debugging() if debug is None else debug)


def _load(texts, target, declares, entries, exports, debug):
    tool = llvm()
    pieces = {symbol: _Piece(symbol, text) for symbol, text in texts.items()}
    if entries is None:
        entries = [symbol for symbol, piece in pieces.items() if not piece.internal]
    units = link(pieces, declares, entries, exports)
    if debug:
        _make_checks(target)
        units = {symbol: bounds.instrument(text) for symbol, text in units.items()}
    store = cache.shared()
    codes, todo, objects, cached, keys = {}, [], {}, [], {}
    for symbol, text in units.items():
        name = cache.key(text, symbol, target.triple, target.cpu, target.features, tool.version, str(_opt(text)))
        keys[symbol] = name
        code = _loaded.get(name)
        if code is not None:
            codes[symbol] = code
            continue
        data = store.get(name)
        if data is None or not data.startswith(_OBJECT):
            todo.append((symbol, name))
        else:
            cached.append(symbol)
            objects[symbol] = (name, data)
    for (symbol, name), data in zip(todo, _compile_all([units[s] for s, _ in todo], target), strict=True):
        store.put(name, data)
        objects[symbol] = (name, data)
    if objects:
        codes.update(_bring_in(objects, target))
    for symbol in exports:
        entry = next(e for e in entries if symbol in pieces[e].defines)
        engine = codes[entry].engine
        codes[symbol] = _Code(engine.get_function_address(symbol), engine)
    files = {symbol: data for symbol, (_, data) in objects.items()}
    return Library(target, units, codes, [s for s, _ in todo], cached, debug, keys, files)


def load_kernels(kernels, target, shared=None, debug=None):
    """``load`` for ``Kernel`` objects; ``shared`` maps a name in ``Kernel.needs`` to its text, as a dict or a function.

    What stands in ``needs`` and starts with ``declare`` is a declaration. With a dict, a shared text may call other
    shared functions.
    """
    texts, declares, wanted = {}, [], []
    for k in kernels:
        if texts.setdefault(k.name, k.text) != k.text:
            raise ValueError(f"load_kernels: two kernels of different text have the name {k.name!r}")
        wanted.extend(k.needs)
    entries = list(texts)
    look = shared.get if hasattr(shared, "get") else shared
    while wanted:
        name = wanted.pop()
        if name.startswith("declare"):
            declares.append(name)
        elif name not in texts:
            text = look(name) if look is not None else None
            if text is None:
                raise KeyError(f"load_kernels: a kernel needs {name!r}, which `shared` does not have")
            texts[name] = text
            if hasattr(shared, "get"):
                wanted.extend(n for n in references(text) if n in shared and n not in texts)
    return load(texts, target, declares=declares, entries=entries, debug=debug)


def debugging():
    """Whether CHAINRULE_DEBUG asks for bounds checks."""
    return os.environ.get("CHAINRULE_DEBUG", "") not in ("", "0")


_checks = {}  # target -> the library with the check functions


def _make_checks(target):
    """Make the functions that instrumented texts call known to the linker."""
    if target not in _checks:
        library = load(bounds.check_texts(), target, entries=["cr.check"], exports=["cr.check.mask"], debug=False)
        for symbol in library:
            llvm().binding.add_symbol(symbol, library.address(symbol))
        _checks[target] = library


def references(text):
    """The symbols that a text mentions."""
    return dict.fromkeys(_REFERENCE.findall(text))


class _Piece:
    """One text: what it defines and mentions."""

    def __init__(self, symbol, text):
        if "\n;" in text or text.startswith(";"):
            text = _COMMENT.sub("", text)
        self.declares = {name: m.group(0) for m in _DECLARE.finditer(text) for name in (m.group(1),)}
        self.text = _DECLARE.sub("", text).strip("\n") + "\n" if self.declares else text.strip("\n") + "\n"
        heads = {m.group(2): m.group(1).split() for m in _DEFINE.finditer(text)}
        self.defines = [*heads, *_GLOBAL.findall(text)]
        if symbol not in self.defines:
            raise ValueError(f"load: the text of {symbol!r} does not define it; it defines {self.defines}")
        self.internal = any(w in _LINKAGE for w in heads.get(symbol, ()))
        self.mentions = references(self.text)

    def hidden(self, *keep):
        """The text with every function but those named made internal."""

        def mark(m):
            if m.group(2) in keep or any(w in _LINKAGE for w in m.group(1).split()):
                return m.group(0)
            return "define internal" + m.group(0)[len("define") :]

        return _DEFINE.sub(mark, self.text)


def link(pieces, declares, entries, exports=()):
    """The complete text of each entry: itself, the shared functions it reaches, and the declarations of the rest."""
    owner = {}
    for symbol, piece in pieces.items():
        for name in piece.defines:
            if owner.setdefault(name, symbol) != symbol:
                raise ValueError(f"load: {name!r} is defined both by {owner[name]!r} and by {symbol!r}")
    known = {}
    for line in [*declares, *(d for p in pieces.values() for d in p.declares.values())]:
        m = _DECLARE.match(line.strip())
        if m is None:
            raise ValueError(f"load: not a declaration of one line: {line!r}")
        known.setdefault(m.group(1), line.strip())
    units = {}
    for entry in entries:
        if entry not in pieces:
            raise KeyError(f"load: no text for the entry {entry!r}")
        seen, queue, outside = {entry: None}, [entry], {}
        for symbol in queue:
            for name in pieces[symbol].mentions:
                to = owner.get(name)
                if to is None:
                    if name in known:
                        outside[name] = known[name]
                elif to not in seen:
                    seen[to] = None
                    queue.append(to)
        parts = [outside[n] + "\n" for n in sorted(outside)]
        parts += [pieces[s].hidden() for s in sorted(seen) if s != entry]
        units[entry] = "".join([*parts, pieces[entry].hidden(entry, *exports)])
    return units


def _parsed(text, target, context=None):
    """A verified module after the passes."""
    tool = llvm()
    b = tool.binding
    try:
        module = b.parse_assembly(text, context or b.create_context())
        module.triple = target.triple
        machine = tool.machine(target, _opt(text))
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as e:
        names = [m.group(2) for m in _DEFINE.finditer(text)]
        raise RuntimeError(f"load: LLVM does not take the text of {names[-1] if names else text!r}: {e}") from None
    # The texts are explicit about vectors and loops: more passes (instcombine, -O1) cost 10 to 100 % of the compile
    # time and left the kernels' code as large as it was.
    builder = b.create_pass_builder(machine, b.create_pipeline_tuning_options(speed_level=1))
    passes = b.create_new_module_pass_manager()
    if "alwaysinline" in text:
        passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    return module


def _opt(text):
    """How hard code generation tries: with bounds checks the code is slow anyway, but generated five times as fast."""
    return 0 if "@cr.check(" in text else OPT


def _emit(text, target):
    """The object file of a text."""
    tool = llvm()
    module = _parsed(text, target)
    return _emit_unlocked(tool.machine(target, _opt(text)), module)


def _emit_unlocked(machine, module):
    """``machine.emit_object(module)`` without llvmlite's lock over all of LLVM, so that threads compile side by side.

    LLVM itself only asks that no two threads share a context or a target machine.
    """
    from llvmlite.binding import ffi

    raw = getattr(ffi.lib, "_lib_handle", None)
    if raw is None:  # an llvmlite that keeps its library elsewhere
        return machine.emit_object(module)
    error = ctypes.c_char_p()
    buffer = raw.LLVMPY_TargetMachineEmitToMemory(machine, module, 1, ctypes.byref(error))
    if not buffer:
        raise RuntimeError(f"load: code generation failed: {(error.value or b'').decode()}")
    try:
        return ctypes.string_at(raw.LLVMPY_GetBufferStart(buffer), raw.LLVMPY_GetBufferSize(buffer))
    finally:
        raw.LLVMPY_DisposeMemoryBuffer(buffer)


def _compile_all(texts, target):
    """The object files of the texts, made on several threads."""
    workers = min(threads.count, len(texts))
    if workers <= 1:
        return [_emit(t, target) for t in texts]
    out, errors = [None] * len(texts), []
    order = iter(sorted(range(len(texts)), key=lambda i: -len(texts[i])))  # the longest first
    lock = threading.Lock()

    def work():
        while not errors:
            with lock:
                i = next(order, None)
            if i is None:
                return
            try:
                out[i] = _emit(texts[i], target)
            except BaseException as e:
                errors.append(e)

    helpers = [threading.Thread(target=work, name="chainrule-compile") for _ in range(workers - 1)]
    for t in helpers:
        t.start()
    work()
    for t in helpers:
        t.join()
    if errors:
        raise errors[0]
    return out


def _bring_in(objects, target):
    """Load object files into one engine; returns symbol -> _Code."""
    with fork.compiling:
        return _linked(objects, target)


def _linked(objects, target):
    tool = llvm()
    b = tool.binding
    # In the global context: one of its own could be collected before the engine.
    empty = b.parse_assembly("")
    engine = b.create_mcjit_compiler(empty, tool.new_machine(target, OPT))
    for _, data in objects.values():
        engine.add_object_file(b.ObjectFileRef.from_data(data))
    engine.finalize_object()
    codes = {}
    for symbol, (name, _) in objects.items():
        address = engine.get_function_address(symbol.strip('"'))
        if not address:
            raise RuntimeError(f"load: {symbol!r} has no address after linking")
        codes[symbol] = _loaded[name] = _Code(address, engine)
    return codes
