/* Online SGD with the straight-through estimator, two-bit weights and inputs, as a careful C program: the floor that
 * benchmarks/simulation.py measures the engine against. Same algorithm, same generator (Threefry-2x32-20, both words
 * used, inverse normal by polynomials), one core, float, everything vectorizable by the compiler.
 *
 *   cc -O3 -march=native -mprefer-vector-width=512 -ffast-math online_sgd.c -lm -o online_sgd
 *   ./online_sgd DIM STEPS SEEDS        prints seconds and the final generalization error of the first seed
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROTATE(x, r) (((x) << (r)) | ((x) >> (32 - (r))))
#define ROUND(r) a += b; b = a ^ ROTATE(b, r);

static const float QUANTILE[15] = {
    3.7638425827026367f, 1.9952512979507446f, -0.45756661891937256f, 0.17794819176197052f, -0.051569338887929916f,
    -0.024035867303609848f, 0.059519242495298386f, -0.0557311549782753f, 0.04607871174812317f, -0.04352349787950516f,
    0.0004678464320022613f, 0.05110420286655426f, -0.02903587557375431f, -0.012532980181276798f, 0.010057794861495495f};
static const float LOGARITHM[7] = {
    1.0000009536743164f, -0.5000114440917969f, 0.33314675092697144f, -0.24908289313316345f, 0.20491759479045868f,
    -0.1868075132369995f, 0.11931054294109344f};

static inline float normal(uint32_t word) {
    float u = ((float)((int32_t)word >> 8) + 0.5f) * 0x1p-23f, q = (1 - u) * (1 + u);
    int32_t bits;
    memcpy(&bits, &q, 4);
    int32_t exponent = (bits - 0x3F3504F3) >> 23;
    bits -= exponent << 23;
    float m;
    memcpy(&m, &bits, 4);
    m -= 1;
    float p = LOGARITHM[6];
    for (int k = 5; k >= 0; k--) p = p * m + LOGARITHM[k];
    float t = (m * p + exponent * 0.6931471805599453f) * -0.125f - 1;
    p = QUANTILE[14];
    for (int k = 13; k >= 0; k--) p = p * t + QUANTILE[k];
    return u * p;
}

static void fill(uint32_t k0, uint32_t k1, uint32_t row, int pairs, float *restrict out) {
    uint32_t k2 = k0 ^ k1 ^ 0x1BD11BDA;
    for (int j = 0; j < pairs; j++) {
        uint32_t a = row + k0, b = (uint32_t)j + k1;
        ROUND(13) ROUND(15) ROUND(26) ROUND(6) a += k1; b += k2 + 1;
        ROUND(17) ROUND(29) ROUND(16) ROUND(24) a += k2; b += k0 + 2;
        ROUND(13) ROUND(15) ROUND(26) ROUND(6) a += k0; b += k1 + 3;
        ROUND(17) ROUND(29) ROUND(16) ROUND(24) a += k1; b += k2 + 4;
        ROUND(13) ROUND(15) ROUND(26) ROUND(6) a += k2; b += k0 + 5;
        out[j] = normal(a);
        out[pairs + j] = normal(b);
    }
}

static inline float quantize(float x) { /* levels -2, -2/3, 2/3, 2; thresholds -4/3, 0, 4/3 */
    float y = x >= -4.0f / 3 ? -2.0f / 3 : -2.0f;
    y = x >= 0 ? 2.0f / 3 : y;
    return x >= 4.0f / 3 ? 2.0f : y;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int d = atoi(argv[1]), steps = atoi(argv[2]), seeds = atoi(argv[3]), pairs = (d + 1) / 2 + 1;
    float *x = malloc(sizeof(float) * 2 * pairs), *z = malloc(sizeof(float) * d), *w = malloc(sizeof(float) * d);
    float root = sqrtf(d), rate = 0.1f / root, final = 0;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int seed = 0; seed < seeds; seed++) {
        fill(99, seed, 0, pairs, x);
        memcpy(w, x, sizeof(float) * d);
        for (int step = 0; step < steps; step++) {
            float residual = 0;
            fill(seed, 12345, step, pairs, x);
            for (int i = 0; i < d; i++) {
                z[i] = quantize(x[i]);
                residual += quantize(w[i]) * z[i] - x[i]; /* the teacher's weights are 1 */
            }
            float change = rate * residual / root;
            for (int i = 0; i < d; i++) w[i] -= change * z[i];
        }
        if (seed == 0)
            for (int i = 0; i < d; i++) {
                float image = quantize(w[i]);
                final += 0.5f * (1.0930575625f * image * image - 2 * 0.9692832397f * image + 1) / d;
            }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.6f %.5f\n", (end.tv_sec - begin.tv_sec) + 1e-9 * (end.tv_nsec - begin.tv_nsec), final);
    return 0;
}
