"""The kernels of the runtime itself, as LLVM text: what a task with a Copy or a Check calls."""

# ``cr.copy``: from, to, number of bytes; a chunk is $PIECE bytes.
# ``cr.verify``: places of bytes, then that of the status, to which the first goes that is not zero.
KERNELS = """define void @cr.copy(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
entry:
  %from = load ptr, ptr %args, align 8
  %to.at = getelementptr ptr, ptr %args, i64 1
  %to = load ptr, ptr %to.at, align 8
  %size.at = getelementptr ptr, ptr %args, i64 2
  %size = load i64, ptr %size.at, align 8
  %start = mul i64 %begin, $PIECE
  %upto = mul i64 %end, $PIECE
  %over = icmp ugt i64 %upto, %size
  %stop = select i1 %over, i64 %size, i64 %upto
  %length = sub i64 %stop, %start
  %source = getelementptr i8, ptr %from, i64 %start
  %target = getelementptr i8, ptr %to, i64 %start
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %length, i1 false)
  ret void
}
define void @cr.verify(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
entry:
  %status.at = getelementptr ptr, ptr %args, i64 %end
  %status = load ptr, ptr %status.at, align 8
  %first = icmp ult i64 %begin, %end
  br i1 %first, label %look, label %done
look:
  %i = phi i64 [ %begin, %entry ], [ %next, %fine ]
  %next = add i64 %i, 1
  %at = getelementptr ptr, ptr %args, i64 %i
  %place = load ptr, ptr %at, align 8
  %byte = load i8, ptr %place, align 1
  %good = icmp eq i8 %byte, 0
  br i1 %good, label %fine, label %bad
fine:
  %more = icmp ult i64 %next, %end
  br i1 %more, label %look, label %done
bad:
  %code = add i64 %i, $FAILED
  store i64 %code, ptr %status, align 8
  ret void
done:
  ret void
}
"""
