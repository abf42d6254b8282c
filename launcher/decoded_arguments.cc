#include "launcher/decoded_arguments.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/signals.h"
#include "launcher/call_signatures.h"

namespace brood {
namespace {

struct Word {
  uint64_t value;
  std::string_view name;
};

constexpr Word kFamilies[] = {{1, "AF_UNIX"}, {2, "AF_INET"}, {10, "AF_INET6"}, {15, "AF_KEY"}, {16, "AF_NETLINK"}, {17, "AF_PACKET"},
                              {29, "AF_CAN"}, {30, "AF_TIPC"}, {31, "AF_BLUETOOTH"}, {38, "AF_ALG"}, {40, "AF_VSOCK"}, {43, "AF_SMC"}, {44, "AF_XDP"}};
constexpr Word kSocketTypes[] = {{1, "SOCK_STREAM"}, {2, "SOCK_DGRAM"}, {3, "SOCK_RAW"}, {4, "SOCK_RDM"}, {5, "SOCK_SEQPACKET"}, {10, "SOCK_PACKET"}};
constexpr Word kSocketFlags[] = {{SOCK_CLOEXEC, "SOCK_CLOEXEC"}, {SOCK_NONBLOCK, "SOCK_NONBLOCK"}};
constexpr Word kAccessModes[] = {{O_RDONLY, "O_RDONLY"}, {O_WRONLY, "O_WRONLY"}, {O_RDWR, "O_RDWR"}};
constexpr Word kOpenFlags[] = {{O_CREAT, "O_CREAT"}, {O_EXCL, "O_EXCL"}, {O_NOCTTY, "O_NOCTTY"}, {O_TRUNC, "O_TRUNC"}, {O_APPEND, "O_APPEND"},
                               {O_NONBLOCK, "O_NONBLOCK"}, {__O_TMPFILE | O_DIRECTORY, "O_TMPFILE"}, {O_DIRECTORY, "O_DIRECTORY"},
                               {O_NOFOLLOW, "O_NOFOLLOW"}, {O_CLOEXEC, "O_CLOEXEC"}, {O_PATH, "O_PATH"}, {O_SYNC, "O_SYNC"}, {O_DSYNC, "O_DSYNC"},
                               {O_DIRECT, "O_DIRECT"}, {O_NOATIME, "O_NOATIME"}, {0100000, "O_LARGEFILE"}};
constexpr Word kProtection[] = {{PROT_READ, "PROT_READ"}, {PROT_WRITE, "PROT_WRITE"}, {PROT_EXEC, "PROT_EXEC"}};
constexpr Word kMapTypes[] = {{MAP_SHARED, "MAP_SHARED"}, {MAP_PRIVATE, "MAP_PRIVATE"}, {3, "MAP_SHARED_VALIDATE"}};
constexpr Word kMapFlags[] = {{MAP_FIXED, "MAP_FIXED"}, {MAP_ANONYMOUS, "MAP_ANONYMOUS"}, {MAP_GROWSDOWN, "MAP_GROWSDOWN"}, {MAP_LOCKED, "MAP_LOCKED"},
                              {MAP_NORESERVE, "MAP_NORESERVE"}, {MAP_POPULATE, "MAP_POPULATE"}, {MAP_STACK, "MAP_STACK"}, {MAP_HUGETLB, "MAP_HUGETLB"},
                              {0x100000, "MAP_FIXED_NOREPLACE"}};
constexpr Word kMountFlags[] = {{MS_RDONLY, "MS_RDONLY"}, {MS_NOSUID, "MS_NOSUID"}, {MS_NODEV, "MS_NODEV"}, {MS_NOEXEC, "MS_NOEXEC"},
                                {MS_REMOUNT, "MS_REMOUNT"}, {MS_BIND, "MS_BIND"}, {MS_MOVE, "MS_MOVE"}, {MS_REC, "MS_REC"}, {MS_SILENT, "MS_SILENT"},
                                {MS_UNBINDABLE, "MS_UNBINDABLE"}, {MS_PRIVATE, "MS_PRIVATE"}, {MS_SLAVE, "MS_SLAVE"}, {MS_SHARED, "MS_SHARED"},
                                {MS_NOATIME, "MS_NOATIME"}, {MS_RELATIME, "MS_RELATIME"}, {MS_STRICTATIME, "MS_STRICTATIME"}};
constexpr Word kUnmountFlags[] = {{1, "MNT_FORCE"}, {2, "MNT_DETACH"}, {4, "MNT_EXPIRE"}, {8, "UMOUNT_NOFOLLOW"}};
constexpr Word kCloneFlags[] = {{CLONE_VM, "CLONE_VM"}, {CLONE_FS, "CLONE_FS"}, {CLONE_FILES, "CLONE_FILES"}, {CLONE_SIGHAND, "CLONE_SIGHAND"},
                                {CLONE_PIDFD, "CLONE_PIDFD"}, {CLONE_PTRACE, "CLONE_PTRACE"}, {CLONE_VFORK, "CLONE_VFORK"}, {CLONE_PARENT, "CLONE_PARENT"},
                                {CLONE_THREAD, "CLONE_THREAD"}, {CLONE_NEWNS, "CLONE_NEWNS"}, {CLONE_SYSVSEM, "CLONE_SYSVSEM"}, {CLONE_SETTLS, "CLONE_SETTLS"},
                                {CLONE_PARENT_SETTID, "CLONE_PARENT_SETTID"}, {CLONE_CHILD_CLEARTID, "CLONE_CHILD_CLEARTID"},
                                {CLONE_CHILD_SETTID, "CLONE_CHILD_SETTID"}, {CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {CLONE_NEWUTS, "CLONE_NEWUTS"},
                                {CLONE_NEWIPC, "CLONE_NEWIPC"}, {CLONE_NEWUSER, "CLONE_NEWUSER"}, {CLONE_NEWPID, "CLONE_NEWPID"},
                                {CLONE_NEWNET, "CLONE_NEWNET"}, {CLONE_IO, "CLONE_IO"}, {CLONE_NEWTIME, "CLONE_NEWTIME"}};
constexpr Word kPtraceRequests[] = {{0, "PTRACE_TRACEME"}, {1, "PTRACE_PEEKTEXT"}, {2, "PTRACE_PEEKDATA"}, {4, "PTRACE_POKETEXT"}, {5, "PTRACE_POKEDATA"},
                                    {7, "PTRACE_CONT"}, {8, "PTRACE_KILL"}, {9, "PTRACE_SINGLESTEP"}, {12, "PTRACE_GETREGS"}, {13, "PTRACE_SETREGS"},
                                    {16, "PTRACE_ATTACH"}, {17, "PTRACE_DETACH"}, {24, "PTRACE_SYSCALL"}, {0x4200, "PTRACE_SETOPTIONS"},
                                    {0x4204, "PTRACE_GETREGSET"}, {0x4206, "PTRACE_SEIZE"}, {0x4207, "PTRACE_INTERRUPT"}};
constexpr Word kBpfCommands[] = {{0, "BPF_MAP_CREATE"}, {1, "BPF_MAP_LOOKUP_ELEM"}, {2, "BPF_MAP_UPDATE_ELEM"}, {5, "BPF_PROG_LOAD"}, {6, "BPF_OBJ_PIN"},
                                 {7, "BPF_OBJ_GET"}, {8, "BPF_PROG_ATTACH"}, {17, "BPF_RAW_TRACEPOINT_OPEN"}, {18, "BPF_BTF_LOAD"}, {28, "BPF_LINK_CREATE"}};
constexpr Word kKeyCommands[] = {{0, "KEYCTL_GET_KEYRING_ID"}, {1, "KEYCTL_JOIN_SESSION_KEYRING"}, {2, "KEYCTL_UPDATE"}, {3, "KEYCTL_REVOKE"},
                                 {5, "KEYCTL_SETPERM"}, {6, "KEYCTL_DESCRIBE"}, {7, "KEYCTL_CLEAR"}, {8, "KEYCTL_LINK"}, {9, "KEYCTL_UNLINK"},
                                 {10, "KEYCTL_SEARCH"}, {11, "KEYCTL_READ"}};
constexpr Word kIoctls[] = {{0x5401, "TCGETS"}, {0x5402, "TCSETS"}, {0x540e, "TIOCSCTTY"}, {0x5412, "TIOCSTI"}, {0x5413, "TIOCGWINSZ"}, {0x541b, "FIONREAD"},
                            {0x541c, "TIOCLINUX"}, {0x5421, "FIONBIO"}, {0x5423, "TIOCSETD"}, {0x8912, "SIOCGIFCONF"}, {0x8914, "SIOCSIFFLAGS"}};
constexpr Word kSpecialDirectory[] = {{0xffffff9c, "AT_FDCWD"}};
constexpr Word kReboots[] = {{0xfee1dead, "LINUX_REBOOT_MAGIC1"}};

uint64_t Int(uint64_t value) { return value & 0xffffffff; }

std::string Number(uint64_t value) { return value < 10 ? absl::StrCat(value) : absl::StrCat("0x", absl::Hex(value)); }

std::string Signed(uint64_t value) { return absl::StrCat(static_cast<int32_t>(Int(value))); }

template <size_t kCount>
std::string OneOf(const Word (&words)[kCount], uint64_t value, std::string otherwise) {
  const Word* const found = std::find_if(std::begin(words), std::end(words), [&](const Word& word) { return word.value == value; });
  return found != std::end(words) ? std::string(found->name) : otherwise;
}

// "A|B|0x40"; `first` is what stands before.
template <size_t kCount>
std::string Flags(const Word (&words)[kCount], uint64_t value, std::string first = "") {
  std::vector<std::string> names;
  if (!first.empty()) names.push_back(std::move(first));
  for (const Word& word : words) {
    if ((value & word.value) != word.value) continue;
    names.emplace_back(word.name);
    value &= ~word.value;
  }
  if (value != 0 || names.empty()) names.push_back(Number(value));
  return absl::StrJoin(names, "|");
}

std::string Quoted(std::string_view bytes, bool cut) { return absl::StrCat("\"", absl::CHexEscape(bytes), "\"", cut ? "..." : ""); }

std::string Address(const PointedTo& from) {
  sockaddr_storage address = {};
  memcpy(&address, from.bytes.data(), std::min(from.bytes.size(), sizeof(address)));
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET && from.bytes.size() >= sizeof(sockaddr_in)) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(four.sin_port));
  }
  if (address.ss_family == AF_INET6 && from.bytes.size() >= offsetof(sockaddr_in6, sin6_scope_id)) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(six.sin6_port));
  }
  constexpr size_t kPath = offsetof(sockaddr_un, sun_path);
  if (address.ss_family == AF_UNIX && from.bytes.size() > kPath) {
    const std::string_view name = std::string_view(from.bytes).substr(kPath);
    if (name[0] == '\0') return Quoted(absl::StrCat("unix:@", name.substr(1)), from.cut);
    const std::string_view path = name.substr(0, name.find('\0'));
    return Quoted(absl::StrCat("unix:", path), from.cut && path.size() == name.size());
  }
  return absl::StrCat("{", OneOf(kFamilies, address.ss_family, absl::StrCat("family ", address.ss_family)), "}");
}

std::string Pointer(uint64_t value) { return value == 0 ? "NULL" : absl::StrCat("0x", absl::Hex(value)); }

std::string Decoded(char kind, uint64_t value, const PointedTo* text) {
  switch (kind) {
    case 'd':
      return Signed(value);
    case 'u':
      return absl::StrCat(value);
    case 'x':
      return Number(value);
    case 'o':
      return absl::StrFormat("%#o", Int(value));
    case 's':
      return text != nullptr ? Quoted(text->bytes, text->cut) : Pointer(value);
    case 'A':
      return text != nullptr ? Address(*text) : Pointer(value);
    case 'D':
      return OneOf(kSpecialDirectory, Int(value), Signed(value));
    case 'O':
      return Flags(kOpenFlags, Int(value) & ~uint64_t{O_ACCMODE}, OneOf(kAccessModes, value & O_ACCMODE, "3"));
    case 'P':
      return value == 0 ? "PROT_NONE" : Flags(kProtection, Int(value));
    case 'M':
      return Flags(kMapFlags, Int(value) & ~uint64_t{0xf}, OneOf(kMapTypes, value & 0xf, Number(value & 0xf)));
    case 'n':
      return Flags(kMountFlags, value);
    case 'U':
      return Flags(kUnmountFlags, Int(value));
    case 'C': {  // Of clone(2): below the flags is the signal of its end.
      const int signal = static_cast<int>(value & 0xff);
      return Flags(kCloneFlags, value & ~uint64_t{0xff}, signal != 0 ? SignalName(signal) : "");
    }
    case 'N':  // Of unshare(2) and setns(2). CLONE_NEWTIME is in clone's signal.
      return Flags(kCloneFlags, Int(value));
    case 'F':
      return OneOf(kFamilies, Int(value), Signed(value));
    case 'T':
      return Flags(kSocketFlags, Int(value) & ~uint64_t{0xf}, OneOf(kSocketTypes, value & 0xf, Number(value & 0xf)));
    case 'S':
      return SignalName(static_cast<int>(Int(value)));
    case 'R':
      return OneOf(kPtraceRequests, value, Number(value));
    case 'b':
      return OneOf(kBpfCommands, Int(value), Signed(value));
    case 'K':
      return OneOf(kKeyCommands, Int(value), Signed(value));
    case 'k':
      return OneOf(kIoctls, Int(value), Number(Int(value)));
    case 'r':
      return OneOf(kReboots, Int(value), Number(Int(value)));
    default:  // 'p'
      return Pointer(value);
  }
}

}  // namespace

std::vector<std::string> DecodeArguments(std::string_view syscall, const std::array<uint64_t, 6>& args,
                                         const std::map<unsigned, PointedTo>& texts) {
  std::vector<std::string> words;
  for (const char kind : SignatureOf(syscall)) {
    const auto i = static_cast<unsigned>(words.size());
    const auto text = texts.find(i);
    words.push_back(Decoded(kind, args[i], text != texts.end() ? &text->second : nullptr));
  }
  return words;
}

}  // namespace brood
