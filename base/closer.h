// Closes what others have sent, where that may take long: close(2) of a file waits for the server of its files (FUSE, NFS: "flush"),
// that of a TCP socket for its peer (SO_LINGER), and a sender can make either wait as long as it likes. The last close of a connection
// is that of all which was sent over it and not read.
//
//   closer.Close(std::move(fd));   // Waits for nobody. Not from several threads.
#ifndef BROOD_BASE_CLOSER_H_
#define BROOD_BASE_CLOSER_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "base/unique_fd.h"

namespace brood::internal {

class Closer {
 public:
  static constexpr int kMaxThreads = 1024;

  Closer();
  ~Closer();  // Waits for nothing: a thread that is held up goes on until the process ends.

  // Here, if it is of a kind that nobody can hold up. Else by a thread, of which there are as many as are held up, and one. When this
  // returns it is out of the table of descriptors: what is forked then has no copy, whose close would wait, too. Only once kMaxThreads
  // are held up those that come then stay open until one goes on.
  void Close(UniqueFd fd, uid_t owner = 0);
  void Close(std::vector<UniqueFd> fds, uid_t owner = 0);

  // One to somebody who sends: what is waiting in it could be anything.
  void CloseConnection(UniqueFd connection, uid_t owner = 0);

  // How many of that owner's are held up.
  size_t HeldUp(uid_t owner) const;

 private:
  struct Shared;
  void Leave(UniqueFd fd, uid_t owner);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace brood::internal

#endif  // BROOD_BASE_CLOSER_H_
