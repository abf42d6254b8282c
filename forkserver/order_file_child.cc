#include "forkserver/order_file_child.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>

#include "base/raw_syscall_child.h"

namespace brood::child {
namespace {

constexpr size_t kHeader = offsetof(KeptOrder, request.data);

}  // namespace

int MakeOrderFile() {
  constexpr int kCloexec = MFD_CLOEXEC;
  constexpr int kNoExec = 8;  // MFD_NOEXEC_SEAL, since 6.3, where vm.memfd_noexec may ask for it. memfd_create(2)
  long file = RawSyscall(SYS_memfd_create, "brood-order", kCloexec | kNoExec);
  if (file == -EINVAL) file = RawSyscall(SYS_memfd_create, "brood-order", kCloexec);
  if (file >= 0) return static_cast<int>(file);
  errno = static_cast<int>(-file);
  return -1;
}

// One call for each of the two parts, of which the second is empty in most.
void* WriteOrder(int file, const KeptOrder& order) {
  const size_t size = kHeader + order.request.size;
  long written = RawSyscall(SYS_pwrite64, file, &order, static_cast<long>(size), 0);
  bool whole = written == static_cast<long>(size);
  if (whole && order.request.fd_count > 0) {
    const auto more = static_cast<long>(order.request.fd_count * sizeof(int));
    written = RawSyscall(SYS_pwrite64, file, order.request.fds, more, kOrderFds);
    whole = written == more;
  }
  if (whole) return Written(file, size);
  errno = written < 0 ? static_cast<int>(-written) : EIO;
  return nullptr;
}

bool ReadOrder(int file, void* to, size_t size, long from) {
  return RawSyscall(SYS_pread64, file, to, static_cast<long>(size), from) == static_cast<long>(size);
}

}  // namespace brood::child
