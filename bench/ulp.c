/* Compares float32 results of exp, sigmoid and tanh with the double precision of libm, for ulp.py.
 * Compiled as a library. */
#include <math.h>

enum { EXP, SIGMOID, TANH };

/* right[i] = the function of x[i], for functions EXP, SIGMOID, TANH. */
void evaluate(int function, long count, const float *x, double *right) {
    for (long i = 0; i < count; i++) {
        double a = x[i];
        right[i] = function == EXP ? exp(a) : function == TANH ? tanh(a) : 1 / (1 + exp(-a));
    }
}

/* Returns the largest error in units of the last place of a float, over results of normal size, and
 * where it is in *at. *wrong counts what else is not as it should be: NaN, infinities, and results
 * below normal size, which may be off by 2 units or be zero of the right sign. */
double compare(long count, const float *x, const float *y, const double *right, long *at,
               long *wrong) {
    const double smallest = 0x1p-126, overflow = 0x1.ffffffp127;
    double worst = 0;
    for (long i = 0; i < count; i++) {
        double r = right[i], size = fabs(r);
        if (isnan(x[i])) {
            *wrong += !isnan(y[i]);
        } else if (size >= overflow) {
            *wrong += !isinf(y[i]) || (y[i] < 0) != (r < 0);
        } else if (size < smallest) {
            int zero = y[i] == 0 && !signbit(y[i]) == !signbit(r);
            *wrong += !zero && !(fabs(y[i] - r) <= 2 * 0x1p-149);
        } else {
            int exponent;
            frexp(r, &exponent);
            double error = ldexp(fabs(y[i] - r), 24 - exponent);
            if (!(error <= worst)) worst = error, *at = i;
        }
    }
    return worst;
}
