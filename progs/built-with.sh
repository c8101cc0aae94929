#!/bin/sh
# What decides the bytes of an object besides its source: compiler, kernel headers, libbpf's headers.
# usage: built-with.sh CLANG
set -eu
define() { "$1" -E -dM -include "$2" -x c /dev/null 2> /dev/null | awk -v name="$3" '$2 == name { print $3 }'; }
code=$(define "$1" linux/version.h LINUX_VERSION_CODE)
echo "clang $("$1" -dumpversion)"
echo "linux-headers $((code >> 16)).$((code >> 8 & 255))"
major=$(define "$1" bpf/libbpf_version.h LIBBPF_MAJOR_VERSION)
echo "libbpf $major.$(define "$1" bpf/libbpf_version.h LIBBPF_MINOR_VERSION)"
