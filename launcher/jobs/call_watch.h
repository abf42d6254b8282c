// Tells whether a job has made a system call. If it has made none, the kernel knows of its process what it knew before.
//
// Syscall User Dispatch (Linux 5.11, prctl(2)): while a byte in memory says so, each system call of the thread is a SIGSYS
// instead. The handler of that notes it, changes the byte, and lets the call be made again; so a job pays for its first call
// only. Documentation/admin-guide/syscall-user-dispatch.rst
#ifndef BROOD_LAUNCHER_JOBS_CALL_WATCH_H_
#define BROOD_LAUNCHER_JOBS_CALL_WATCH_H_

namespace brood::internal {

// Must lie where nothing is reset, and as long as the process lives. For one thread, the one that starts it.
class CallWatch {
 public:
  // Takes SIGSYS for ever. Where the kernel, a filter or the processor has no such thing, every job has made a call.
  void Start();

  // After a job that has made a call, which may have been to end this.
  void Renew();

  // The handler finds this object by a thread-local variable: to be called after each rewind.
  void Begin();

  // True if there was a call since Begin, or nobody knows.
  bool End();

  // For the handler.
  void Note();

 private:
  // SYSCALL_DISPATCH_FILTER_ALLOW and _BLOCK of linux/prctl.h.
  static constexpr char kAllow = 0;
  static constexpr char kBlock = 1;

  volatile char selector_ = kAllow;
  volatile char seen_ = 0;
  bool works_ = false;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_CALL_WATCH_H_
