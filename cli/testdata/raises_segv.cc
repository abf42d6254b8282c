// Ends by SIGSEGV.
#include <csignal>

int main() { raise(SIGSEGV); }
