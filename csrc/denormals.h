/* Numbers below normal size cost some processors a hundred cycles each, and a state that decays towards zero is made of
 * them. Around a pass they count as zero; the caller's mode comes back afterwards. */
#ifndef FASTGRU_DENORMALS_H
#define FASTGRU_DENORMALS_H

#if defined(__x86_64__)

typedef unsigned float_mode;
static float_mode flush_denormals(void) {
    const unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x40;
    const float_mode before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | flush_to_zero | denormals_are_zero);
    return before;
}
static void restore_mode(float_mode mode) { __builtin_ia32_ldmxcsr(mode); }

#elif defined(__aarch64__)

typedef unsigned long long float_mode;
static float_mode flush_denormals(void) {
    float_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" ::"r"(before | 1ull << 24));
    return before;
}
static void restore_mode(float_mode mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode)); }

#else

typedef int float_mode;
static float_mode flush_denormals(void) { return 0; }
static void restore_mode(float_mode mode) { (void)mode; }

#endif
#endif
