// What can be known of a descriptor without waiting for anybody.
#ifndef BROOD_BASE_SLOW_FILE_H_
#define BROOD_BASE_SLOW_FILE_H_

#include <sys/types.h>

#include <optional>

namespace brood {

// Its type, as S_IFMT masks it, and permissions, as far as the kernel knows them: a server of files is not asked. Nothing if there is
// no such descriptor.
std::optional<mode_t> ModeAtOnce(int fd);

// Whether who reads, writes or closes it, or looks at it with stat(2), may wait for a process (FUSE) or another machine (NFS) that
// need not answer: a file, or directory, of a file system that is none of those known to be this kernel's own. It takes two system calls
// more if it is on no disk, and before Linux 6.8 a look into /proc/self/mountinfo.
bool IsSlowFile(int fd);

}  // namespace brood

#endif  // BROOD_BASE_SLOW_FILE_H_
