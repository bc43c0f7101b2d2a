OPENQASM 2.0;
include "qelib1.inc";
// hyperfabric_q.families.generate('cuccaro_adder', 4, options={'a': 1, 'b': 1})
qreg cin[1];
qreg b[1];
qreg a[1];
qreg cout[1];
creg sum[2];
x a[0];
x b[0];
cx a[0],b[0];
cx a[0],cin[0];
ccx cin[0],b[0],a[0];
cx a[0],cout[0];
ccx cin[0],b[0],a[0];
cx a[0],cin[0];
cx cin[0],b[0];
measure b[0] -> sum[0];
measure cout[0] -> sum[1];
