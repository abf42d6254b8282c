// Closes what clients have sent, where that may take long: close(2) of a file waits for the server of its files (FUSE, NFS: "flush"),
// that of a TCP socket for its peer (SO_LINGER), and a client can make either wait as long as it likes. The last close of a connection
// is that of all which was sent over it and not read.
//
//   closer.Close(std::move(fd));   // Never waits. Not from several threads.
#ifndef BROOD_SERVE_CLOSER_H_
#define BROOD_SERVE_CLOSER_H_

#include <memory>
#include <vector>

#include "base/unique_fd.h"

namespace brood::internal {

class Closer {
 public:
  static constexpr int kMaxThreads = 64;

  Closer();
  ~Closer();  // Waits for nothing: a thread that is held up goes on until the process ends.

  // Here, if it is of a kind that nobody can hold up: pipes, UNIX sockets, memory, null and its like. Else by a thread, of which there
  // are as many as are held up, and one; once kMaxThreads are held up, those that come then stay open until one goes on.
  void Close(UniqueFd fd);
  void Close(std::vector<UniqueFd> fds);

  // One to a client: what is waiting in it could be anything.
  void CloseConnection(UniqueFd connection);

 private:
  struct Shared;
  void Leave(UniqueFd fd);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace brood::internal

#endif  // BROOD_SERVE_CLOSER_H_
