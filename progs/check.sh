#!/bin/sh
# Rebuilds the objects in a temporary folder and compares them with the ones here: byte by byte where compiler and
# headers are those of BUILT_WITH; elsewhere an object with other bytes must at least have the same sections and global
# symbols, which no compiler may change.
# usage: check.sh CLANG LLVM-READELF (called by `make check`)
set -eu
readelf=$2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bad=0
complain() {
  echo "progs: $*" >&2
  bad=1
}

interface() { # the loaders' view of an object: program, map, data sections and global names
  "$readelf" -SW "$1" |
    sed -n 's/^ *\[ *[0-9]*\] \([^ ]*\) .*/\1/p' |
    grep -Ev '^(\.BTF|\.rel|\.symtab|\.strtab|\.llvm|\.rodata\.(cst|str)|NULL)' | sort
  "$readelf" -sW "$1" | awk '$5 == "GLOBAL" || $5 == "WEAK" { print $4, $8 }' | sort
}

if ! make -s OUT="$out" all > "$out/log" 2>&1; then
  cat "$out/log" >&2
  complain 'the sources do not build'
  exit 1
fi

same_tools=1
cmp -s "$out/BUILT_WITH" BUILT_WITH || same_tools=0

count=0
other_bytes=
for object in $(cd "$out" && find . -name '*.bpf.o' | sort); do
  object=${object#./}
  count=$((count + 1))
  if [ ! -f "$object" ]; then
    complain "$object is not here: run make in progs/ and commit the result"
  elif cmp -s "$object" "$out/$object"; then
    continue
  elif [ $same_tools = 1 ]; then
    complain "$object is not what its source gives: run make in progs/ and commit the result"
  else
    other_bytes="$other_bytes $object"
    interface "$object" > "$out/here"
    interface "$out/$object" > "$out/there"
    cmp -s "$out/here" "$out/there" || complain "$object has other sections or symbols than its source gives"
  fi
done
for object in *.bpf.o bench/*.bpf.o; do
  [ -f "${object%.o}.c" ] || complain "$object has no source"
done
[ $bad = 0 ] || exit 1

if [ $same_tools = 1 ]; then
  echo "progs: $count objects rebuilt, same bytes"
else
  echo "progs: built with $(paste -sd, BUILT_WITH); here is $(paste -sd, "$out/BUILT_WITH")"
  echo "progs: $count objects rebuilt, same bytes except for:${other_bytes:- none} (same sections and symbols)"
fi
