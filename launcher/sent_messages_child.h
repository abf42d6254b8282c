// The addresses to which a call of a child's sends: of sendto(2), sendmsg(2) and sendmmsg(2), as they stand in its memory.
//
// It may change them meanwhile: good for telling where a message did not go, and not for letting one go.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_SENT_MESSAGES_CHILD_H_
#define BROOD_LAUNCHER_SENT_MESSAGES_CHILD_H_

#include <linux/seccomp.h>

#include <cstdint>

namespace brood::child {

struct SentMessage {
  uint32_t index = 0;  // Among those of the call.
  uint64_t address = 0;  // Where its address is in the child's memory, and how long.
  uint64_t length = 0;
};

class SentMessages {
 public:
  explicit SentMessages(const seccomp_notif& call) : call_(call) {}

  static bool IsSend(int number);

  // The next one that has an address. False after the last, and where the child's memory can't be read.
  bool NextWithAddress(SentMessage* out);

 private:
  const seccomp_notif& call_;
  uint32_t next_ = 0;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_SENT_MESSAGES_CHILD_H_
