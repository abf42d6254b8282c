// A forked process for tests of shared objects: it says how far it is, waits for a word, and can be killed there.
#ifndef BROOD_IPC_TALKING_CHILD_H_
#define BROOD_IPC_TALKING_CHILD_H_

#include <sys/types.h>

#include <functional>

#include "base/unique_fd.h"

namespace brood {

class TalkingChild {
 public:
  // The child's side of the conversation.
  class Parent {
   public:
    void Say(char word) const;  // "I hold it."
    void Await() const;         // Until the parent says Go.
    void Sleep() const;         // Until it is killed.

   private:
    friend class TalkingChild;
    int to_parent_ = -1;
    int from_parent_ = -1;
  };

  // Runs `body` in a forked child, which exits with what it returns, without destructors or exit handlers.
  explicit TalkingChild(const std::function<int(const Parent&)>& body);
  ~TalkingChild();
  TalkingChild(TalkingChild&& other) noexcept;
  TalkingChild& operator=(TalkingChild&&) = delete;

  // Until the child has said something; a test failure and 0 if it ends or 60 s pass.
  char Await();
  void Go();

  int Kill();  // SIGKILL, then as Join.
  int Join();  // The exit code, or -signal.
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  UniqueFd from_child_;
  UniqueFd to_child_;
};

// In a child: says what is wrong and ends it with code 1.
#define BROOD_REQUIRE(condition) \
  if (!(condition)) ::brood::RequireFailed(__FILE__, __LINE__, #condition)
#define BROOD_REQUIRE_OK(status)                                          \
  if (const absl::Status require_status = (status); !require_status.ok()) \
  ::brood::RequireFailed(__FILE__, __LINE__, require_status.ToString().c_str())
[[noreturn]] void RequireFailed(const char* file, int line, const char* what);

}  // namespace brood

#endif  // BROOD_IPC_TALKING_CHILD_H_
