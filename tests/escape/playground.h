// A place where attacks that nothing stops do no harm: private namespaces, and an init that ends whatever is left.
#ifndef BROOD_TESTS_ESCAPE_PLAYGROUND_H_
#define BROOD_TESTS_ESCAPE_PLAYGROUND_H_

#include <functional>
#include <string>

namespace brood {

// Runs `body` there and returns what it returns; 1 if the place cannot be made. Root gets mount, pid, ipc, uts and network
// namespaces of its own, with a loopback interface, and fresh /tmp, /var/tmp and /dev/shm; as somebody else it runs as it
// is, since the machine is protected from users. `as_nobody`: root gives up all it has, after that.
int InPlayground(bool as_nobody, const std::function<int()>& body);

// The main function of a test: all its cases there, as nobody with the argument --as-nobody.
int TestsInPlayground(int argc, char** argv);

// The programs, where everybody can read them. Valid within `body`.
std::string AttackProgram();
std::string BroodProgram();

}  // namespace brood

#endif  // BROOD_TESTS_ESCAPE_PLAYGROUND_H_
