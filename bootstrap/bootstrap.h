// The first line of the main function of a program that starts its own functions as processes.
//
//   int main(int argc, char** argv) {
//     brood::Bootstrap(argc, argv);  // Returns in a normal start; in a spawned child it runs the target and exits.
//     ...
//   }
//
// The child's command line is `ARGV0 --brood-bootstrap HANDLE PARENT_PID`; everything else travels through the handle,
// as with a frozen Python executable.
#ifndef BROOD_BOOTSTRAP_BOOTSTRAP_H_
#define BROOD_BOOTSTRAP_BOOTSTRAP_H_

namespace brood {

// Before any thread is started and any option parsed. In a normal start it registers an exit handler, which runs this
// process's finalizers (finalizer.h) and ends the children that are left (launcher/children.h). A message that is damaged, an unknown target and wrong argument
// types end the child with one line on stderr and exit code 125; the parent learns the same through its handle.
void Bootstrap(int argc, char** argv);

namespace internal {

inline constexpr char kBootstrapFlag[] = "--brood-bootstrap";
inline constexpr char kServerFlag[] = "--brood-forkserver";  // ARGV0 --brood-forkserver SOCKET

// Where a child finds what its parent gave it; above these are the handles of the user.
inline constexpr int kMessageFd = 3;
inline constexpr int kSetupFd = 4;
inline constexpr int kResultFd = 5;

// Whether Bootstrap was called: else a spawned child would be a second main program.
bool BootstrapWasCalled();

// What Bootstrap does where the command line has kServerFlag. Set by the forkserver; `main` must not return.
void SetServerMain(void (*main)(int socket));

// Reads from `message_fd` what the parent has put there, and runs it. Noexcept: as RunChild.
[[noreturn]] void RunMessage(int message_fd, int setup_fd) noexcept;

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_BOOTSTRAP_H_
