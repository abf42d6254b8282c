// Landlock as the kernel's interface has it, in numbers: the headers of a distribution are older than the kernels that brood
// meets. landlock(7), include/uapi/linux/landlock.h
#ifndef BROOD_SANDBOX_LANDLOCK_ABI_H_
#define BROOD_SANDBOX_LANDLOCK_ABI_H_

#include <cstdint>

namespace brood {

inline constexpr unsigned kLandlockVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION

// Of files. What each ABI knows is all below its own bit.
inline constexpr uint64_t kLandlockExecute = 1u << 0;
inline constexpr uint64_t kLandlockWriteFile = 1u << 1;
inline constexpr uint64_t kLandlockReadFile = 1u << 2;
inline constexpr uint64_t kLandlockReadDirectory = 1u << 3;
inline constexpr uint64_t kLandlockMakeOrRemove = 0x1ff0;    // What stands in a directory; of all kinds.
inline constexpr uint64_t kLandlockRefer = 1u << 13;         // To move and link to another directory. ABI 2
inline constexpr uint64_t kLandlockTruncate = 1u << 14;      // ABI 3
inline constexpr uint64_t kLandlockDeviceControl = 1u << 15; // LANDLOCK_ACCESS_FS_IOCTL_DEV, ABI 5

inline constexpr uint64_t kLandlockRead = kLandlockExecute | kLandlockReadFile | kLandlockReadDirectory;
inline constexpr uint64_t kLandlockWrite = kLandlockWriteFile | kLandlockMakeOrRemove | kLandlockRefer | kLandlockTruncate;

// Those that there are of a file that is no directory.
inline constexpr uint64_t kLandlockOfFiles =
    kLandlockExecute | kLandlockWriteFile | kLandlockReadFile | kLandlockTruncate | kLandlockDeviceControl;

inline constexpr uint64_t kLandlockTcp = 3;     // To bind, to connect. ABI 4
inline constexpr uint64_t kLandlockScopes = 3;  // Abstract UNIX sockets, signals. ABI 6

}  // namespace brood

#endif  // BROOD_SANDBOX_LANDLOCK_ABI_H_
