#include "sandbox/syscall_groups.h"

#include "absl/strings/str_split.h"

namespace brood {

const std::vector<SyscallGroup>& SyscallGroups() {
  static const auto* groups = new std::vector<SyscallGroup>{
      {"@basic-io", "read, write, wait and copy on descriptors that are open already",
       "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek close close_range dup dup2 "
       "dup3 fcntl fcntl64 flock ioctl pipe pipe2 poll ppoll ppoll_time64 select _newselect pselect6 epoll_create "
       "epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 sendfile sendfile64 splice tee "
       "vmsplice copy_file_range fadvise64 readahead fsync fdatasync sync_file_range syncfs"},
      {"@file-read", "open files and look at them",
       "open openat openat2 stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs "
       "fstatfs64 access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir getxattr "
       "lgetxattr fgetxattr listxattr llistxattr flistxattr inotify_init inotify_init1 inotify_add_watch "
       "inotify_rm_watch name_to_handle_at"},
      {"@file-write", "create, change and remove files, where the mounts and modes allow it",
       "creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat truncate "
       "truncate64 ftruncate ftruncate64 fallocate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime "
       "utimes utimensat futimesat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr umask mknod "
       "mknodat memfd_create sync"},
      {"@mode-second", "calls whose second argument is the mode that a file gets", "chmod fchmod creat mknod"},
      {"@mode-third", "calls whose third argument is the mode that a file gets", "fchmodat fchmodat2 mknodat"},
      {"@memory", "the own address space",
       "brk mmap mmap2 munmap mprotect mremap madvise msync mincore mlock mlock2 munlock mlockall munlockall "
       "membarrier pkey_alloc pkey_free pkey_mprotect get_mempolicy set_mempolicy mbind remap_file_pages map_shadow_stack"},
      {"@process", "own children (without new namespaces) and their end",
       "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp getsid "
       "setpgid setsid pidfd_open pidfd_send_signal kill tkill tgkill prctl arch_prctl getrusage getpriority "
       "prlimit64 getrlimit ugetrlimit setrlimit times process_mrelease"},
      {"@threads", "own threads and their scheduling",
       "futex futex_time64 futex_waitv set_robust_list get_robust_list set_tid_address set_thread_area get_thread_area "
       "rseq sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max "
       "sched_get_priority_min sched_rr_get_interval sched_getattr getcpu restart_syscall"},
      {"@signals", "signal handlers and masks",
       "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend rt_sigqueueinfo "
       "rt_tgsigqueueinfo sigaltstack sigreturn signal sigaction signalfd signalfd4 pause"},
      {"@timers", "clocks (to read) and timers",
       "clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64 "
       "gettimeofday time nanosleep alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun "
       "timer_delete timerfd_create timerfd_settime timerfd_gettime"},
      {"@identity-read", "ids, names and limits of the own process and machine",
       "getuid geteuid getgid getegid getresuid getresgid getgroups uname sysinfo capget getrandom"},
      {"@identity-change", "changes to an id that one has already",
       "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset"},
      {"@aio", "asynchronous file input and output of the older kind",
       "io_setup io_submit io_getevents io_pgetevents io_cancel io_destroy"},
      {"@ipc", "System V and POSIX messages, semaphores and shared memory, in the own ipc namespace",
       "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink "
       "mq_timedsend mq_timedreceive mq_notify mq_getsetattr"},
      {"@sockets", "what is done with sockets, once there are any",
       "connect bind listen accept accept4 getsockname getpeername sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg "
       "shutdown setsockopt getsockopt"},
      {"@network", "sockets, of any family, and what is done with them",
       "socket socketpair connect bind listen accept accept4 getsockname getpeername sendto recvfrom sendmsg recvmsg "
       "sendmmsg recvmmsg shutdown setsockopt getsockopt"},
      {"@scheduling", "nice values and scheduling classes of own processes",
       "setpriority sched_setscheduler sched_setparam sched_setattr ioprio_get ioprio_set nice"},
      {"@landlock", "further restrictions of oneself",
       "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp"},
      {"@kernel-surface", "attacks: mounts, namespaces, tracing, kernel programs, keys, devices, the machine's own state",
       "mount umount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr "
       "unshare setns ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd bpf perf_event_open "
       "userfaultfd keyctl add_key request_key open_by_handle_at kexec_load kexec_file_load init_module "
       "finit_module delete_module create_module query_module get_kernel_syms iopl ioperm modify_ldt vm86 vm86old swapon "
       "swapoff reboot acct quotactl quotactl_fd settimeofday clock_settime clock_adjtime adjtimex stime sethostname "
       "setdomainname lookup_dcookie nfsservctl syslog vhangup uselib fanotify_init fanotify_mark migrate_pages "
       "move_pages"},
      {"@newer", "calls newer than Linux 5.13 that programs try, and go on without",
       "memfd_secret set_mempolicy_home_node cachestat futex_wake futex_wait futex_requeue statmount listmount "
       "lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat "
       "open_tree_attr file_getattr file_setattr"},
      {"@io-uring", "a second way to make system calls, past every filter", "io_uring_setup io_uring_enter io_uring_register"},
  };
  return *groups;
}

std::vector<std::string_view> SyscallGroupMembers(std::string_view name) {
  for (const SyscallGroup& group : SyscallGroups()) {
    if (group.name == name) return absl::StrSplit(group.members, ' ', absl::SkipEmpty());
  }
  return {};
}

}  // namespace brood
