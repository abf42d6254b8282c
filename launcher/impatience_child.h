// Ends waits in the kernel that nothing else bounds.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_IMPATIENCE_CHILD_H_
#define BROOD_LAUNCHER_IMPATIENCE_CHILD_H_

namespace brood::child {

// As long as it lives, a system call that waits is interrupted after some 10 ms, and again and again. Of a process all of whose
// signals are blocked; it takes SIGALRM and the timer of setitimer(2).
class Impatience {
 public:
  Impatience();
  ~Impatience();
  Impatience(const Impatience&) = delete;
  Impatience& operator=(const Impatience&) = delete;

  bool given() const { return given_; }  // False if the kernel refused the timer.

 private:
  bool given_ = false;
};

// As close(2), of a socket that somebody else may share. Whoever closes a TCP socket last waits until its data is taken, for as
// long as SO_LINGER says, with O_NONBLOCK too: another holder can see to it that we are the last. socket(7).
void CloseShared(int fd);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_IMPATIENCE_CHILD_H_
