// A file whose server says nothing any more once it is open: who asks it anything waits, be it a close(2), as with an NFS or sshfs
// that hangs. Needs root, and mounts in a namespace of its own only.
#ifndef BROOD_SERVE_SLOW_FILE_TESTING_H_
#define BROOD_SERVE_SLOW_FILE_TESTING_H_

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"

namespace brood {

class SlowFile {
 public:
  // valid() says whether it worked; `flags` are those of open(2).
  explicit SlowFile(int flags) {
    char place[] = "/tmp/slow_file.XXXXXX";
    const UniqueFd under(mkstemp(place));
    place_ = place;
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    const UniqueFd ours(pair[0]);
    UniqueFd theirs(pair[1]);
    pid_ = fork();
    if (pid_ == 0) Serve(theirs.get(), flags);
    theirs.reset();
    char byte = 0;
    const iovec part = {&byte, 1};
    int fd = -1;
    if (child::ReceiveWithFds(ours.get(), &part, 1, &fd, 1, 0).fd_count == 1) file_.reset(fd);
  }

  // With its server, the file ends to be slow.
  ~SlowFile() {
    kill(pid_, SIGKILL);
    EXPECT_EQ(waitpid(pid_, nullptr, 0), pid_);
    unlink(place_.c_str());
  }

  bool valid() const { return file_.valid(); }
  int get() const { return file_.get(); }

 private:
  static void Require(bool done) {
    if (!done) _exit(errno);
  }

  static void Answer(int fuse, uint64_t unique, const void* body, size_t size) {
    fuse_out_header head = {};
    head.len = static_cast<uint32_t>(sizeof(head) + size);
    head.unique = unique;
    const iovec parts[] = {{&head, sizeof(head)}, {const_cast<void*>(body), size}};
    Require(writev(fuse, parts, 2) == static_cast<ssize_t>(head.len));
  }

  // The root of its file system is the file. fuse(4) It has nothing of the file itself, so that it can be killed, and ends with the test.
  [[noreturn]] void Serve(int to, int flags) const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    Require(fuse >= 0 && unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    const std::string options = absl::StrCat("fd=", fuse, ",rootmode=100666,user_id=0,group_id=0,allow_other");
    Require(mount("slow", place_.c_str(), "fuse", 0, options.c_str()) == 0);
    if (fork() == 0) {
      close(fuse);
      const int file = open(place_.c_str(), flags);
      const iovec part = {const_cast<char*>("f"), 1};
      Require(file >= 0 && child::SendWithFds(to, &part, 1, &file, 1, 0) == 1);
      _exit(0);  // Which closes it.
    }
    close(to);
    alignas(8) static char request[1 << 18];
    for (;;) {
      Require(read(fuse, request, sizeof(request)) > 0);
      const auto& head = *reinterpret_cast<const fuse_in_header*>(request);
      if (head.opcode == FUSE_INIT) {
        fuse_init_out init = {};
        init.major = FUSE_KERNEL_VERSION;
        init.minor = FUSE_KERNEL_MINOR_VERSION;
        init.max_write = 4096;
        Answer(fuse, head.unique, &init, sizeof(init));
      } else if (head.opcode == FUSE_OPEN) {
        const fuse_open_out opened = {};
        Answer(fuse, head.unique, &opened, sizeof(opened));
        for (;;) pause();
      } else if (head.opcode == FUSE_GETATTR) {
        fuse_attr_out attributes = {};
        attributes.attr.ino = 1;
        attributes.attr.mode = S_IFREG | 0666;
        attributes.attr.nlink = 1;
        Answer(fuse, head.unique, &attributes, sizeof(attributes));
      }
    }
  }

  std::string place_;
  pid_t pid_ = -1;
  UniqueFd file_;
};

}  // namespace brood

#endif  // BROOD_SERVE_SLOW_FILE_TESTING_H_
