#!/usr/bin/env bash
# Compiles the C core without Python, for every instruction set of the target, and runs the tests beside this file on it.
#   CC          the compiler (default cc); an aarch64 cross-compiler works with
#   RUN         what runs the program, e.g. "qemu-aarch64 -L /usr/aarch64-linux-gnu"
#   SANITIZE    sanitizers (default address,undefined; empty for none)
set -euo pipefail
cd "$(dirname "$0")/../.."
cc=${CC:-cc}
sanitize=${SANITIZE-address,undefined}
flags="-std=gnu11 -O1 -g1 -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror -Wno-psabi -Icsrc"
[ -z "$sanitize" ] || flags="$flags -fsanitize=$sanitize -fno-sanitize-recover=all"
# What these two find the address sanitizer finds as well; without them the compiler takes a fifth less.
[[ $sanitize != address,undefined ]] || flags="$flags -fno-sanitize=null,object-size"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# name, bytes in a vector, vector registers, flags
avx2="-mavx2 -mfma"
avx512="$avx2 -mavx512f -mavx512vl -mavx512dq -mavx512bw"
case $("$cc" -dumpmachine) in
x86_64*) sets=(
    "baseline 16 16"
    "avx2_wide 64 32 $avx2"
    "avx2 32 16 $avx2"
    "avx512 64 32 $avx512"
    "emulated_amx 64 32 $avx2 -DFASTGRU_EMULATE_TILES"
    "amx 64 32 $avx512 -mamx-tile -mamx-int8 -mavx512vbmi -mavx512vnni") ;;
aarch64*) sets=("neon 16 32") ;;
*) sets=("baseline 16 16") ;;
esac

have=""
jobs=()
for set in "${sets[@]}"; do
    read -r isa bytes registers isa_flags <<<"$set"
    have="$have -DFASTGRU_HAVE_${isa^^}=1"
    reals="float double"
    [[ $isa != *amx ]] || reals=float
    for real in $reals; do
        $cc $flags $isa_flags -DFASTGRU_ISA="$isa" -DFASTGRU_REAL=$real -DFASTGRU_VECTOR_BYTES="$bytes" \
            -DFASTGRU_REAL_IS_DOUBLE=$([ $real = double ] && echo 1 || echo 0) -DFASTGRU_REGISTERS="$registers" \
            -c csrc/kernels.c -o "$out/$isa-$real.o" &
        jobs+=($!)
    done
done
for job in "${jobs[@]}"; do wait "$job"; done
$cc $flags $have csrc/dispatch.c csrc/schedule.c csrc/team.c tests/c/*.c "$out"/*.o -lm -pthread -o "$out/test_core"
${RUN:-} "$out/test_core" | xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" ${RUN:-} "$out/test_core"
