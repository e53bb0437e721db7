#!/bin/sh
# What a build does: `gate.sh RUN` or `gate.sh --base A … --new B …` prints how it stands, by the exit code alone.
# The run has both builds side by side: lmx-loadgen run --target base=URL --target new=URL
"${LMX_LOADGEN:-lmx-loadgen}" compare "$@" --fail-on "ttft_p50 > +5%" --fail-on "tok_s < -5%" >/dev/null 2>&1
code=$?
case $code in
  0) echo "kept 0" ;;
  30) echo "broken 30" ;;
  31) echo "inconclusive 31" ;;
  32) echo "refused 32" ;;
  *) echo "error $code" ;;
esac
