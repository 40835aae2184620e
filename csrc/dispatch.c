/* Which instruction sets this machine has, and their kernels. */
#include "fastgru.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

/* The registers whose contents the operating system saves: without its help the instructions fault or corrupt. */
static unsigned saved_registers(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static int has_avx2(void) {
    const unsigned ymm = 0x6; /* SSE and AVX state */
    unsigned a, b, c, d;
    if ((saved_registers() & ymm) != ymm) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_FMA)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

static int has_avx512(void) {
    const unsigned zmm = 0xe6; /* and the mask registers, both halves of the new ones */
    const unsigned needed = bit_AVX512F | bit_AVX512VL | bit_AVX512DQ | bit_AVX512BW;
    unsigned a, b, c, d;
    if (!has_avx2() || (saved_registers() & zmm) != zmm) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & needed) == needed;
}

#ifdef FASTGRU_HAVE_AMX
#include <sys/syscall.h>
#include <unistd.h>

/* Matrix tiles: Linux gives a process the registers once it asks for them. */
static int has_amx(void) {
    const unsigned tiles = 0x60000;
    const unsigned amx = 1u << 24 | 1u << 25; /* tiles, int8 */
    const unsigned of_bytes = bit_AVX512VBMI | bit_AVX512VNNI;
    const unsigned ask_for_registers = 0x1023, tile_registers = 18;
    unsigned a, b, c, d;
    if (!has_avx512() || (saved_registers() & tiles) != tiles) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if ((d & amx) != amx || (c & of_bytes) != of_bytes) return 0;
    return syscall(SYS_arch_prctl, ask_for_registers, tile_registers) == 0;
}
#endif
#endif

static int always(void) { return 1; }

typedef struct {
    int (*available)(void);
    const fastgru_kernels *kernels[2];
} instruction_set;

#define KERNELS(isa)                                                                               \
    extern const fastgru_kernels fastgru_kernels_##isa##_float, fastgru_kernels_##isa##_double;
#define SET(isa, available)                                                                        \
    {                                                                                              \
        available, { &fastgru_kernels_##isa##_float, &fastgru_kernels_##isa##_double }             \
    }

#ifdef FASTGRU_HAVE_BASELINE
KERNELS(baseline)
#endif
#ifdef FASTGRU_HAVE_NEON
KERNELS(neon)
#endif
#ifdef FASTGRU_HAVE_AVX2_WIDE
KERNELS(avx2_wide)
#endif
#ifdef FASTGRU_HAVE_AVX2
KERNELS(avx2)
#endif
#ifdef FASTGRU_HAVE_AVX512
KERNELS(avx512)
#endif
#ifdef FASTGRU_HAVE_AMX
extern const fastgru_kernels fastgru_kernels_amx_float;
#endif
#ifdef FASTGRU_HAVE_EMULATED_AMX
extern const fastgru_kernels fastgru_kernels_emulated_amx_float;
#endif

/* From the plainest to the best. */
static const instruction_set SETS[] = {
#ifdef FASTGRU_HAVE_BASELINE
    SET(baseline, always),
#endif
#ifdef FASTGRU_HAVE_NEON
    SET(neon, always),
#endif
#ifdef FASTGRU_HAVE_AVX2_WIDE
    SET(avx2_wide, has_avx2),
#endif
#ifdef FASTGRU_HAVE_EMULATED_AMX
    {has_avx2, {&fastgru_kernels_emulated_amx_float, &fastgru_kernels_avx2_wide_double}},
#endif
#ifdef FASTGRU_HAVE_AVX2
    SET(avx2, has_avx2),
#endif
#ifdef FASTGRU_HAVE_AVX512
    SET(avx512, has_avx512),
#endif
#ifdef FASTGRU_HAVE_AMX /* for float32 alone */
    {has_amx, {&fastgru_kernels_amx_float, &fastgru_kernels_avx512_double}},
#endif
};

const fastgru_kernels *fastgru_kernels_at(int index, fastgru_real real) {
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS && index >= 0; i++) {
        if (!SETS[i].available()) continue;
        if (index-- == 0) return SETS[i].kernels[real];
    }
    return NULL;
}

int fastgru_isa_count(void) {
    int count = 0;
    while (fastgru_kernels_at(count, FASTGRU_FLOAT32)) count++;
    return count;
}
