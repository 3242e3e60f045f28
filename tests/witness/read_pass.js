// Reads and validates a .pkpass with @walletpass/pass-js and prints what it understood as JSON.
'use strict';

const { readFileSync } = require('fs');
const { Template } = require('@walletpass/pass-js');

(async () => {
  const template = await Template.fromBuffer(readFileSync(process.argv[2]));
  const pass = template.createPass();
  pass.validate();
  process.stdout.write(JSON.stringify(pass));
})().catch(problem => {
  process.stderr.write(`${problem.message}\n`);
  process.exit(1);
});
