// System calls that write no memory of this process but what the kernel is told to: no errno, no table of the linker's.
#ifndef BROOD_BASE_RAW_SYSCALL_CHILD_H_
#define BROOD_BASE_RAW_SYSCALL_CHILD_H_

#include <cstdint>

namespace brood::child {

// What the kernel returns: -errno for an error.
long RawSyscall6(long number, long a, long b, long c, long d, long e, long f);

namespace internal {
inline long Word(const volatile void* pointer) { return reinterpret_cast<long>(pointer); }
inline long Word(uint64_t value) { return static_cast<long>(value); }
inline long Word(int value) { return value; }
inline long Word(long value) { return value; }
}  // namespace internal

template <typename A = int, typename B = int, typename C = int, typename D = int, typename E = int, typename F = int>
long RawSyscall(long number, A a = {}, B b = {}, C c = {}, D d = {}, E e = {}, F f = {}) {
  return RawSyscall6(number, internal::Word(a), internal::Word(b), internal::Word(c), internal::Word(d), internal::Word(e),
                     internal::Word(f));
}

}  // namespace brood::child

#endif  // BROOD_BASE_RAW_SYSCALL_CHILD_H_
