#!/bin/sh
# What a build does: `gate.sh BASE NEW` prints how it stands, by the exit code alone.
"${LMX_LOADGEN:-lmx-loadgen}" compare "$1" "$2" --fail-on "ttft_p50 > +5%" --fail-on "tok_s < -3%" >/dev/null 2>&1
case $? in
  0) echo kept ;;
  30) echo worse ;;
  31) echo undecided ;;
  32) echo refused ;;
  *) echo broken ;;
esac
