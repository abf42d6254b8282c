// What the arguments of system calls are: a letter for each argument that a call has.
//
//   d a number, with a sign     u a size                x a number or flags, in hex   o a mode        p a pointer
//   s text                      A a socket address      D a directory's descriptor    O of open(2)    P, M of mmap(2)
//   n, U of mount(2)            C, N of clone, unshare  F, T of socket(2)             S a signal      R of ptrace(2)
//   b, K, k, r what bpf, keyctl, ioctl, reboot are to do
#ifndef BROOD_LAUNCHER_CALL_SIGNATURES_H_
#define BROOD_LAUNCHER_CALL_SIGNATURES_H_

#include <string_view>

namespace brood {

struct CallSignature {
  std::string_view syscall;
  std::string_view arguments;
};

inline constexpr CallSignature kCallSignatures[] = {
    // Files.
    {"open", "sOo"}, {"openat", "DsOo"}, {"openat2", "Dspu"}, {"creat", "so"}, {"close", "d"}, {"read", "dpu"}, {"write", "dpu"},
    {"pread64", "dpud"}, {"pwrite64", "dpud"}, {"readv", "dpd"}, {"writev", "dpd"}, {"lseek", "ddd"}, {"stat", "sp"}, {"lstat", "sp"},
    {"fstat", "dp"}, {"newfstatat", "Dspx"}, {"statx", "Dsxxp"}, {"statfs", "sp"}, {"access", "sx"}, {"faccessat", "Dsx"},
    {"faccessat2", "Dsxx"}, {"readlink", "spu"}, {"readlinkat", "Dspu"}, {"mkdir", "so"}, {"mkdirat", "Dso"}, {"rmdir", "s"},
    {"unlink", "s"}, {"unlinkat", "Dsx"}, {"rename", "ss"}, {"renameat", "DsDs"}, {"renameat2", "DsDsx"}, {"link", "ss"},
    {"linkat", "DsDsx"}, {"symlink", "ss"}, {"symlinkat", "sDs"}, {"chmod", "so"}, {"fchmod", "do"}, {"fchmodat", "Dso"},
    {"chown", "sdd"}, {"lchown", "sdd"}, {"fchown", "ddd"}, {"fchownat", "Dsddx"}, {"mknod", "sox"}, {"mknodat", "Dsox"},
    {"truncate", "su"}, {"ftruncate", "du"}, {"chdir", "s"}, {"fchdir", "d"}, {"getdents64", "dpu"}, {"setxattr", "sspux"},
    {"lsetxattr", "sspux"}, {"getxattr", "sspu"}, {"lgetxattr", "sspu"}, {"listxattr", "spu"}, {"llistxattr", "spu"},
    {"removexattr", "ss"}, {"lremovexattr", "ss"}, {"utime", "sp"}, {"utimes", "sp"}, {"utimensat", "Dspx"}, {"futimesat", "Dsp"},
    {"inotify_init1", "x"}, {"inotify_add_watch", "dsx"}, {"name_to_handle_at", "Dsppx"}, {"open_by_handle_at", "dpO"},
    {"fanotify_init", "xO"}, {"fanotify_mark", "dxxDs"}, {"flock", "dx"}, {"fcntl", "dxx"}, {"ioctl", "dkx"}, {"dup", "d"},
    {"dup2", "dd"}, {"dup3", "ddO"}, {"pipe", "p"}, {"pipe2", "pO"}, {"memfd_create", "sx"}, {"umask", "o"},
    // Memory.
    {"mmap", "puPMdu"}, {"mprotect", "puP"}, {"munmap", "pu"}, {"mremap", "puuxp"}, {"madvise", "pud"}, {"mlock", "pu"}, {"mlockall", "x"},
    {"pkey_mprotect", "puPd"}, {"userfaultfd", "x"}, {"process_vm_readv", "dpupux"}, {"process_vm_writev", "dpupux"},
    // Processes.
    {"execve", "spp"}, {"execveat", "Dsppx"}, {"clone", "Cpppp"}, {"clone3", "pu"}, {"unshare", "N"}, {"setns", "dN"}, {"kill", "dS"},
    {"tkill", "dS"}, {"tgkill", "ddS"}, {"rt_sigqueueinfo", "dSp"}, {"pidfd_open", "dx"}, {"pidfd_getfd", "ddx"}, {"pidfd_send_signal", "dSpx"},
    {"ptrace", "Rdpp"}, {"prctl", "dxxxx"}, {"arch_prctl", "xp"}, {"seccomp", "dxp"}, {"personality", "x"}, {"setpgid", "dd"},
    {"setpriority", "ddd"}, {"sched_setaffinity", "dup"}, {"sched_setscheduler", "ddp"}, {"prlimit64", "ddpp"}, {"setrlimit", "dp"},
    {"setuid", "d"}, {"setgid", "d"}, {"setreuid", "dd"}, {"setregid", "dd"}, {"setresuid", "ddd"}, {"setresgid", "ddd"},
    {"setfsuid", "d"}, {"setfsgid", "d"}, {"setgroups", "dp"}, {"capset", "pp"}, {"kcmp", "dddxx"},
    // Sockets.
    {"socket", "FTd"}, {"socketpair", "FTdp"}, {"connect", "dAd"}, {"bind", "dAd"}, {"listen", "dd"}, {"accept", "dpp"}, {"accept4", "dppx"},
    {"sendto", "dpuxAd"}, {"recvfrom", "dpuxpp"}, {"sendmsg", "dpx"}, {"recvmsg", "dpx"}, {"sendmmsg", "dpux"}, {"shutdown", "dd"},
    {"setsockopt", "dddpd"}, {"getsockopt", "dddpp"}, {"getsockname", "dpp"}, {"getpeername", "dpp"},
    // The kernel's surface.
    {"mount", "sssns"}, {"umount2", "sU"}, {"pivot_root", "ss"}, {"chroot", "s"}, {"swapon", "sx"}, {"swapoff", "s"}, {"acct", "s"},
    {"quotactl", "xsdp"}, {"fsopen", "sx"}, {"fsmount", "dxx"}, {"fspick", "Dsx"}, {"open_tree", "Dsx"}, {"move_mount", "DsDsx"},
    {"mount_setattr", "Dpxpu"}, {"init_module", "pus"}, {"finit_module", "dsx"}, {"delete_module", "sO"}, {"kexec_load", "pupx"},
    {"kexec_file_load", "dduux"}, {"bpf", "bpu"}, {"perf_event_open", "pdddx"}, {"add_key", "sspud"}, {"request_key", "sssd"},
    {"keyctl", "Kxxxx"}, {"reboot", "rxxp"}, {"settimeofday", "pp"}, {"clock_settime", "dp"}, {"adjtimex", "p"}, {"sethostname", "pu"},
    {"setdomainname", "pu"}, {"syslog", "dpd"}, {"iopl", "d"}, {"ioperm", "xud"}, {"io_uring_setup", "up"}, {"io_uring_enter", "duuxpu"},
    {"io_uring_register", "ddpu"}, {"io_setup", "up"}, {"mq_open", "sOop"}, {"mq_unlink", "s"}, {"shmget", "dux"}, {"shmat", "dpx"},
    {"semget", "ddx"}, {"msgget", "dx"}, {"uname", "p"}, {"sysinfo", "p"},
    {"landlock_create_ruleset", "pux"}, {"landlock_add_rule", "ddpx"}, {"landlock_restrict_self", "dx"},
};

// "" of a call that is not among them.
constexpr std::string_view SignatureOf(std::string_view syscall) {
  for (const CallSignature& one : kCallSignatures) {
    if (one.syscall == syscall) return one.arguments;
  }
  return "";
}

}  // namespace brood

#endif  // BROOD_LAUNCHER_CALL_SIGNATURES_H_
