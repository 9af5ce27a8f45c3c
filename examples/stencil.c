/* A 3 x 3 stencil over 512 x 512 floats with a border of one, in blocks. Kernel Tuner compiles it with the parameters as macros
 * (tile_h, tile_w, inner_h, inner_w, vector, unroll). Returns the milliseconds of the fastest of eleven runs. */
#include <time.h>

enum { SIZE = 512, PITCH = SIZE + 2 };
typedef float vec __attribute__((vector_size(4 * vector), aligned(4)));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

static inline __attribute__((always_inline)) void block(const float *x, const float *taps, float *y) {
    vec sum[inner_h][inner_w / vector];
    for (int i = 0; i < inner_h; i++)
        for (int j = 0; j < inner_w / vector; j++) sum[i][j] = (vec){0};
    for (int t0 = 0; t0 < 9; t0 += unroll)
        for (int t = t0; t < t0 + unroll; t++)
            for (int i = 0; i < inner_h; i++)
                for (int j = 0; j < inner_w / vector; j++)
                    sum[i][j] += taps[t] * *(const vec *)(x + (i + t / 3) * PITCH + t % 3 + j * vector);
    for (int i = 0; i < inner_h; i++)
        for (int j = 0; j < inner_w / vector; j++) *(vec *)(y + i * SIZE + j * vector) = sum[i][j];
}

#ifdef __cplusplus
extern "C"
#endif
float stencil(const float *x, const float *taps, float *y) {
    double best = 1e30;
    for (int repeat = 0; repeat < 11; repeat++) {
        double start = now();
        for (int h = 0; h < SIZE; h += tile_h)
            for (int w = 0; w < SIZE; w += tile_w)
                for (int i = h; i < h + tile_h; i += inner_h)
                    for (int j = w; j < w + tile_w; j += inner_w) block(x + i * PITCH + j, taps, y + i * SIZE + j);
        double took = now() - start;
        if (took < best) best = took;
    }
    return (float)best;
}
