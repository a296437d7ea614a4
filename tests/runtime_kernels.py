"""Small kernels written by hand, for the tests of the runtime."""

from chainrule.compiler.kernel import Kernel

LANES = 8  # elements of one chunk


def loop(name, body, operands, prologue="", chunks=1, **more):
    """A kernel that runs ``body`` for every chunk %i; %pK is operand K, %aK its address at the chunk's first float."""
    head = "".join(
        f"  %g{k} = getelementptr ptr, ptr %args, i64 {k}\n  %p{k} = load ptr, ptr %g{k}, align 8\n"
        for k in range(operands)
    )
    at = "".join(f"  %a{k} = getelementptr i8, ptr %p{k}, i64 %o\n" for k in range(operands))
    text = f"""define void @{name}(ptr %args, i64 %begin, i64 %end, ptr %scratch) {{
entry:
{head}{prologue}  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %o = mul i64 %i, {4 * LANES}
{at}{body}  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""
    return Kernel(name, text, operands, chunks=chunks, **more)


def fill(chunks, value=3.0, **more):
    """x[...] = value"""
    return loop("fill", f"  store <8 x float> splat (float {value}), ptr %a0, align 4\n", 1, chunks=chunks, **more)


def saxpy(chunks, **more):
    """y += 2 x"""
    body = """  %x = load <8 x float>, ptr %a0, align 4
  %y = load <8 x float>, ptr %a1, align 4
  %s = call <8 x float> @llvm.fma.v8f32(<8 x float> %x, <8 x float> splat (float 2.0), <8 x float> %y)
  store <8 x float> %s, ptr %a1, align 4
"""
    return loop("saxpy", body, 2, chunks=chunks, **more)


def chunk_sums(chunks, **more):
    """out[i] = sum of chunk i of x"""
    body = """  %x = load <8 x float>, ptr %a0, align 4
  %s = call float @llvm.vector.reduce.fadd.v8f32(float -0.0, <8 x float> %x)
  %to = getelementptr float, ptr %p1, i64 %i
  store float %s, ptr %to, align 4
"""
    return loop("chunk_sums", body, 2, chunks=chunks, **more)


def through_scratch(chunks, **more):
    """y = x, by way of the thread's scratch"""
    body = """  %x = load <8 x float>, ptr %a0, align 4
  %far = getelementptr i8, ptr %scratch, i64 99968
  store <8 x float> %x, ptr %far, align 32
  %z = load <8 x float>, ptr %far, align 32
  store <8 x float> %z, ptr %a1, align 4
"""
    return loop("through_scratch", body, 2, chunks=chunks, scratch=100_000, **more)


def wait(turns, **more):
    """Does ``turns`` dependent additions: about 1.5 ns each."""
    text = f"""define void @wait(ptr %args, i64 %begin, i64 %end, ptr %scratch) {{
entry:
  %p = load ptr, ptr %args, align 8
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %x = load volatile i64, ptr %p, align 8
  %y = add i64 %x, 1
  store volatile i64 %y, ptr %p, align 8
  %n = add i64 %i, 1
  %c = icmp ult i64 %n, {turns}
  br i1 %c, label %loop, label %done
done:
  ret void
}}
"""
    return Kernel("wait", text, 1, **more)
