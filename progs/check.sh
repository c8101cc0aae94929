#!/bin/sh
# Rebuilds the objects in a temporary folder and compares them with the ones here: byte by byte where compiler and
# headers are those of BUILT_WITH, else by their sections and global symbols, which no compiler may change.
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
  "$readelf" -SW "$1" | sed -n 's/^ *\[ *[0-9]*\] \([^ ]*\) .*/\1/p' | grep -Ev '^(\.BTF|\.rel|\.symtab|\.strtab|\.llvm|\.rodata\.(cst|str)|NULL)' | sort
  "$readelf" -sW "$1" | awk '$5 == "GLOBAL" || $5 == "WEAK" { print $4, $8 }' | sort
}

if ! make -s OUT="$out" all > "$out/log" 2>&1; then
  cat "$out/log" >&2
  complain 'the sources do not build'
  exit 1
fi

mode=bytes
cmp -s "$out/BUILT_WITH" BUILT_WITH || mode=interface

count=0
for object in $(cd "$out" && find . -name '*.bpf.o' | sort); do
  object=${object#./}
  count=$((count + 1))
  if [ ! -f "$object" ]; then
    complain "$object is not here: run make in progs/ and commit the result"
  elif [ $mode = bytes ]; then
    cmp -s "$object" "$out/$object" || complain "$object is not what its source gives: run make in progs/ and commit the result"
  else
    interface "$object" > "$out/here"
    interface "$out/$object" > "$out/there"
    cmp -s "$out/here" "$out/there" || complain "$object has other sections or symbols than its source gives"
  fi
done
for object in *.bpf.o bench/*.bpf.o; do
  [ -f "${object%.o}.c" ] || complain "$object has no source"
done
[ $bad = 0 ] || exit 1

if [ $mode = bytes ]; then
  echo "progs: $count objects rebuilt, same bytes"
else
  echo "progs: bytes not compared, the objects are built with $(tr '\n' ' ' < BUILT_WITH)and here is $(tr '\n' ' ' < "$out/BUILT_WITH"| sed 's/ $//')"
  echo "progs: $count objects rebuilt, same sections and symbols"
fi
