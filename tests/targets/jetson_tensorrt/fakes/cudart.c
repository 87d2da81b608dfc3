/* Stands in for the CUDA runtime in tests: device memory is host memory, everything is done at once. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
int cudaStreamCreate(void **stream) { *stream = malloc(1); return 0; }
int cudaStreamSynchronize(void *stream) { return stream ? 0 : 400; }
int cudaMalloc(void **address, size_t size) {
  const char *fault = getenv("FAKE_FAULT");
  if (fault && !strcmp(fault, "memory")) return 2;
  *address = malloc(size);
  return 0;
}
int cudaFree(void *address) { free(address); return 0; }
int cudaMemcpyAsync(void *into, const void *from, size_t size, int kind, void *stream) {
  (void)kind;
  memcpy(into, from, size);
  return stream ? 0 : 400;
}
int cudaEventCreate(void **event) { *event = calloc(1, sizeof(double)); return 0; }
int cudaEventRecord(void *event, void *stream) { *(double *)event = now_ms(); return stream ? 0 : 400; }
int cudaEventElapsedTime(float *ms, void *first, void *last) { *ms = *(double *)last - *(double *)first; return 0; }
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  *value = attribute == 75 ? 8 : 7;
  return 0;
}
const char *cudaGetErrorString(int code) { return code == 2 ? "out of memory" : "invalid handle"; }
