#include "krakend/daemon/main.h"

int main(int argc, char** argv) { return krakend::daemon::run(argc, argv); }
