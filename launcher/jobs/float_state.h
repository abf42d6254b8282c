// How a thread calculates with floating-point numbers: rounding, precision, traps, and what was raised so far. It is in registers, so
// that neither memory nor the kernel's word tells that a job has changed it. fenv(3)
#ifndef BROOD_LAUNCHER_JOBS_FLOAT_STATE_H_
#define BROOD_LAUNCHER_JOBS_FLOAT_STATE_H_

#include <cfenv>
#include <cstdint>

namespace brood::internal {

class FloatState {
 public:
#ifdef __x86_64__
  void Take() {
    asm volatile("fnstcw %0" : "=m"(control_));
    asm volatile("stmxcsr %0" : "=m"(vectors_));
  }
  // Not by fesetenv(3), which leaves the precision as it is.
  void Restore() const {
    asm volatile("fninit\n\tfldcw %0" : : "m"(control_));
    asm volatile("ldmxcsr %0" : : "m"(vectors_));
  }

 private:
  uint16_t control_ = 0;
  uint32_t vectors_ = 0;
#else
  void Take() { std::fegetenv(&environment_); }
  void Restore() const { std::fesetenv(&environment_); }

 private:
  std::fenv_t environment_ = {};
#endif
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_FLOAT_STATE_H_
