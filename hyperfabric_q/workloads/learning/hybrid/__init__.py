"""Steps of training on the clock of a fabric, and a pipeline of classical layers and circuits that is made of them."""
